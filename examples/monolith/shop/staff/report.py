"""Orders and revenue by day, as a page or as CSV."""

import csv
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from django.http import HttpResponse
from django.utils import timezone
from django.views.generic import TemplateView

from shop.orders.models import Order
from shop.staff.access import StaffRequired
from shop.staff.forms import PeriodForm


@dataclass
class Day:
    day: date
    orders: int = 0
    revenue: Decimal = Decimal("0.00")


def by_day(first, last):
    """Each day of the period, those without orders too; cancelled orders do not count."""
    days = {first + timedelta(days=n): Day(first + timedelta(days=n)) for n in range((last - first).days + 1)}
    orders = Order.objects.filter(placed_at__gte=_midnight(first), placed_at__lt=_midnight(last + timedelta(days=1)))
    found = orders.exclude(status=Order.Status.CANCELLED).order_by("pk").values_list("placed_at", "total")
    for placed_at, total in found.iterator():
        day = days[timezone.localdate(placed_at)]
        day.orders += 1
        day.revenue += total
    return list(days.values())


def _midnight(day):
    return timezone.make_aware(datetime.combine(day, time.min))


class Report(StaffRequired, TemplateView):
    template_name = "staff/report.html"

    def get(self, request, *args, **kwargs):
        form = PeriodForm(request.GET if "first" in request.GET else PeriodForm.usual())
        days = by_day(**form.cleaned_data) if form.is_valid() else []
        if request.GET.get("format") == "csv" and form.is_valid():
            return as_csv(days)
        revenue = sum(day.revenue for day in days)
        most = max((day.revenue for day in days), default=0)
        orders = sum(day.orders for day in days)
        return self.render_to_response({"form": form, "days": days, "orders": orders, "revenue": revenue, "most": most})


def as_csv(days):
    response = HttpResponse(content_type="text/csv", headers={"Content-Disposition": 'attachment; filename="days.csv"'})
    writer = csv.writer(response)
    writer.writerow(["day", "orders", "revenue"])
    writer.writerows([day.day.isoformat(), day.orders, day.revenue] for day in days)
    return response
