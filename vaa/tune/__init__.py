"""Tune the stages that shape recorded scores, without using the labels of the videos that are reported."""
