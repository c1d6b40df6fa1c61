"""Tests of the State Manager, on real Redis servers wherever Redis takes part."""
