"""Which screen is where."""

from django.urls import path

from console_service.screens import attention, audit, awaited, order, orders, overview
from console_service.web import assets, login

urlpatterns = [
    path("", overview.show, name="overview"),
    path("orders", orders.show, name="orders"),
    path("orders/<uuid:order_id>", order.show, name="order"),
    path("attention", attention.show, name="attention"),
    path("attention/do/settle", attention.settle, name="attention-settle"),
    path("failures", awaited.show("failures", "Failures", "outbox dead-letters"), name="failures"),
    path("redrives", awaited.show("redrives", "Redrives", "outbox redrive"), name="redrives"),
    path("replays", awaited.show("replays", "Replays", "outbox replay jobs"), name="replays"),
    path("tasks", awaited.show("tasks", "Due tasks", "outbox attention"), name="tasks"),
    path("relays", awaited.show("relays", "Relays", "outbox status"), name="relays"),
    path("topics", awaited.show("topics", "Topics", "outbox status"), name="topics"),
    path("audit", audit.show, name="audit"),
    path("login", login.login, name="login"),
    path("logout", login.logout, name="logout"),
    path("static/<str:path>", assets.serve, name="asset"),
]
handler403 = "console_service.web.page.forged"
handler404 = "console_service.web.page.missing"
handler500 = "console_service.web.page.failed"
