"""Dead letters of both sides: listed, redriven, discarded; records that are skipped."""
