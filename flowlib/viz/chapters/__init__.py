"""What one chapter alone draws."""
