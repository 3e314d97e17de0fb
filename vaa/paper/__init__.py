"""`make paper`: replay the authors' released files and put the results beside the published numbers."""
