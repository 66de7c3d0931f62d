"""Exchange with other programs and with readers: graphs out, notes in."""
