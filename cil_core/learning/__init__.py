"""The parts methods are composed of: the method base class, phases, memory, classifiers and losses."""
