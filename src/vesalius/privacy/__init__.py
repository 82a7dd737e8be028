"""De-identification, burnt-in text, faces, encryption at rest, consent, audit and access: what protects the patients."""
