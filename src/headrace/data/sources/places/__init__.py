"""Where data is: paths, URIs, archives, downloads."""
