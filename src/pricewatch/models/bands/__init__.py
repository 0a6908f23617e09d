"""Forecast bands as the engine reads them: plain rows with an age."""
