"""Protons."""
