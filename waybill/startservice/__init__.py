"""`python -m waybill startservice NAME`: a new service, as small as one can be and whole."""
