"""The static web page that repaints photos in the browser."""
