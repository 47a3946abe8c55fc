"""What the company states through the API: checked, written down in the inbox, and worked on at once."""
