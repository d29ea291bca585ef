"""What a tenant is made of beside its extensions: one frozen value per object, read, kept and exported by its shape."""
