"""Bad and odd input, as a person would see it arrive, and where each row must end."""
