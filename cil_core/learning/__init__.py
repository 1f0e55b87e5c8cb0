"""What methods are composed of: the base class, phases, memory, classifiers and losses."""
