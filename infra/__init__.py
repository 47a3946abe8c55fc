"""The world: settings, database, broker, embedded servers, providers."""
