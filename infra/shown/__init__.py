"""What the API and the pages show of customers, products and payments: read in sets, as values ready to be written."""
