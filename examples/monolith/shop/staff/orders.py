"""The staff's pages of orders."""

from django.contrib import messages
from django.db.models import Q
from django.shortcuts import get_object_or_404, redirect
from django.views.generic import DetailView, ListView, View

from shop.orders import services
from shop.orders.models import Order
from shop.staff.access import StaffRequired


class OrderList(StaffRequired, ListView):
    paginate_by = 20
    template_name = "staff/order_list.html"
    extra_context = {"statuses": Order.Status.choices}

    def get_queryset(self):
        orders = Order.objects.select_related("customer")
        if (status := self.request.GET.get("status")) in Order.Status.values:
            orders = orders.filter(status=status)
        if text := self.request.GET.get("q", "").strip():
            found = Q(name__icontains=text) | Q(email__icontains=text) | Q(city__icontains=text)
            orders = orders.filter(found | Q(pk=int(text)) if text.isdecimal() else found)
        return orders


class OrderDetail(StaffRequired, DetailView):
    queryset = Order.objects.select_related("customer")
    template_name = "staff/order_detail.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(lines=self.object.lines.all(), **kwargs)


class EndOrder(StaffRequired, View):
    """Ship or cancel an order."""

    def post(self, request, pk):
        order = get_object_or_404(Order, pk=pk)
        try:
            self.end(order)
        except services.NotPossible as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{order} is {order.get_status_display()}.")
        return redirect("staff-order", pk=pk)


class ShipOrder(EndOrder):
    def end(self, order):
        services.ship(order)


class CancelOrder(EndOrder):
    def end(self, order):
        services.cancel(order)
