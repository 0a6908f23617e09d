"""REST, the WebSocket feed and the live page, on one port."""
