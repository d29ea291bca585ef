"""Media sessions over the native engine: verbs down, events up, no packet in Python."""
