"""Pages for the staff."""

from django.contrib.auth.mixins import LoginRequiredMixin, UserPassesTestMixin


class StaffRequired(LoginRequiredMixin, UserPassesTestMixin):
    """Ask visitors to log in; refuse those who are not of the staff."""

    def test_func(self):
        return self.request.user.is_staff
