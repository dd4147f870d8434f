"""Which screen is where."""

from django.urls import path

from console_service.screens import (
    attention,
    audit,
    failures,
    message,
    order,
    orders,
    overview,
    redrives,
    relays,
    replays,
    tasks,
    topics,
)
from console_service.sign_in import form, oidc
from console_service.web import assets

urlpatterns = [
    path("", overview.show, name="overview"),
    path("orders", orders.show, name="orders"),
    path("orders/<uuid:order_id>", order.show, name="order"),
    path("attention", attention.show, name="attention"),
    path("attention/do/settle", attention.settle, name="attention-settle"),
    path("failures", failures.show, name="failures"),
    path("failures/do/redrive", failures.redrive, name="failures-redrive"),
    path("failures/<str:service>/<uuid:row_id>", message.show, name="message"),
    path("redrives", redrives.show, name="redrives"),
    path("redrives/do/resume", redrives.resume, name="redrives-resume"),
    path("redrives/do/abandon", redrives.abandon, name="redrives-abandon"),
    path("redrives/<str:service>/<uuid:job_id>", redrives.one, name="redrive"),
    path("replays", replays.show, name="replays"),
    path("replays/do/send", replays.send, name="replays-send"),
    path("replays/do/resume", replays.resume, name="replays-resume"),
    path("replays/do/abandon", replays.abandon, name="replays-abandon"),
    path("tasks", tasks.show, name="tasks"),
    path("tasks/do/reschedule", tasks.reschedule, name="tasks-reschedule"),
    path("tasks/do/cancel", tasks.cancel, name="tasks-cancel"),
    path("relays", relays.show, name="relays"),
    path("relays/do/pause", relays.pause, name="relays-pause"),
    path("relays/do/resume", relays.resume, name="relays-resume"),
    path("topics", topics.show, name="topics"),
    path("audit", audit.show, name="audit"),
    path("login", form.login, name="login"),
    path("login/start", oidc.start, name="login-start"),
    path("callback", oidc.callback, name="callback"),
    path("logout", form.logout, name="logout"),
    path("static/<str:path>", assets.serve, name="asset"),
]
handler403 = "console_service.web.page.forged"
handler404 = "console_service.web.page.missing"
handler500 = "console_service.web.page.failed"
