"""The web page: static files, as they are served. Plain ES modules and CSS; nothing is built or fetched elsewhere."""
