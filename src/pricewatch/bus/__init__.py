"""The bus port's two keepers: in process and Redis Streams."""
