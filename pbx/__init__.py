"""The PBX: an application of `voipat`."""
