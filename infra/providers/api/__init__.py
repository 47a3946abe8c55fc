"""What the company itself states through the API: written down as documents, read back as facts."""
