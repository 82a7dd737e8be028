"""The specs, one file an architecture. Their union is in `vesalius.nets.spec`."""
