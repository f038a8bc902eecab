"""The page in the browser on which a prior is turned by hand, and what it shows."""
