"""One package per billing provider: verify a delivery, translate its envelope, ask its API."""
