"""What is made once for every stack of this user and kept in ~/.cache/waybill."""
