"""Models where others find them: the card of a model, the Hugging Face Hub."""
