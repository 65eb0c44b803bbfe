"""The append-only files of a run between recorder and assembler: the seam behind which another writer may be put."""
