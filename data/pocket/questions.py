"""How pages ask for facts: gone as soon as nobody asks here."""
from data.pocket import text

ASK, SHORT = text.wordings("ask"), text.wordings("short")
