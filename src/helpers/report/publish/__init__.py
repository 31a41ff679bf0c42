"""What a run leaves: versions that appear whole or not at all, their manifests, and files without secrets."""
