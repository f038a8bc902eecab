"""The report of a study: scores, sections, figures, and the pages made of them."""
