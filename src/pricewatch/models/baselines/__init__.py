"""What is left of a fit once its library is gone: shapes, what they foretell, and how well they did."""
