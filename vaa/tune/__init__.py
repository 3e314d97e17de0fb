"""Tune the stages that post-process recorded scores, without using the labels of the videos that are reported."""
