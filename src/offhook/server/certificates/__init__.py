"""Where our certificate comes from: files given by hand, an ACME authority, or an authority of our own for a LAN."""
