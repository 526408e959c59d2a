"""Recital of paragraphs: the teacher-forced pass, half precision, screening, free generation."""
