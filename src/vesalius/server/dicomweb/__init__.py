"""DICOMweb: queries, retrieval and storing over HTTP, as a client and as a server."""
