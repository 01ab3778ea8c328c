"""One file per module; each test's name states a fact."""
