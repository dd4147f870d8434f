"""Vouchers, which pay for seats."""
