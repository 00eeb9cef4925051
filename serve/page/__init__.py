"""The page: Gradio, and what a browser shows.  A tab a file; nothing else of ours knows Gradio."""
