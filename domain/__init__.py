"""The rules: attribution, products, transactions, triggers, commissions. Standard library only, no clock, no I/O."""
