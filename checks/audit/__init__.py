"""Audits: do these samples copy training images, and does this model?"""
