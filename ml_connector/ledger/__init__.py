"""What the connector knows and did: links, standings, intents, feeds, audit."""
