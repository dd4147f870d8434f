"""Pages of the library as any Django project writes them: they know of no service."""

from django.contrib import admin
from django.contrib.auth.models import User
from django.forms import Form, IntegerField, ModelForm
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template import engines
from django.urls import path
from django.views.generic import CreateView, DeleteView, FormView, ListView, UpdateView

from tests.support.library.models import Author, Book, Copy

PAGE = "{% csrf_token %}{{ form.as_p }}"
FIELDS = ["title", "author", "pages"]


class BookForm(ModelForm):
    class Meta:
        model = Book
        fields = FIELDS


class Page:
    """A page without a file of its own."""

    model = Book
    success_url = "/books"

    def render_to_response(self, context, **_):
        return HttpResponse(engines["django"].from_string(PAGE).render(context, self.request))


class Books(ListView):
    model = Book

    def render_to_response(self, context, **_):
        return HttpResponse(" ".join(book.title for book in context["object_list"]))


class NewBook(Page, CreateView):
    form_class = BookForm


class ChangedBook(Page, UpdateView):
    fields = FIELDS


class DeletedBook(Page, DeleteView):
    pass


class Pages(Page, FormView):
    """A form of no model, whose view writes one."""

    class form_class(Form):  # noqa: N801 - Django's name
        pages = IntegerField()

    def form_valid(self, form):
        Book.objects.create(title="By hand", author=Author.objects.get(), pages=form.cleaned_data["pages"])
        return super().form_valid(form)


def changed_in_a_function(request, pk):
    book = get_object_or_404(Book, pk=pk)
    form = BookForm(request.POST or None, instance=book)
    if form.is_valid():
        form.save()
        return redirect("/books")
    return HttpResponse(engines["django"].from_string(PAGE).render({"form": form}, request))


def changed_on_one_page(request, pk):
    """Save a book, and show its form again without a redirect."""
    form = BookForm(request.POST or None, instance=get_object_or_404(Book, pk=pk))
    if form.is_valid():
        form.save()
    return HttpResponse(engines["django"].from_string(PAGE).render({"form": form}, request))


def reprinted(_request, pk):
    """Change a book without a form."""
    book = get_object_or_404(Book, pk=pk)
    book.pages += 1
    book.save()
    return redirect("/books")


class CopyInline(admin.TabularInline):
    model = Copy
    extra = 0


class BookAdmin(admin.ModelAdmin):
    fields = FIELDS
    date_hierarchy = "published_at"
    list_display = (
        "title",
        "pages",
    )
    list_editable = ("pages",)
    inlines = (CopyInline,)


class LocalRouter:
    """Leave the admin's own models on a local database."""

    def db_for_read(self, model, **_):
        return "local" if model._meta.app_label in ("admin", "auth", "contenttypes") else None

    db_for_write = db_for_read


def as_staff(get_response):
    """Let everybody be a superuser (Django middleware)."""

    def answer(request):
        request.user = User(pk=1, username="staff", is_staff=True, is_superuser=True)
        return get_response(request)

    return answer


site = admin.AdminSite()
site.register(Book, BookAdmin)
site.register(Author)

urlpatterns = [
    path("books", Books.as_view()),
    path("books/new", NewBook.as_view()),
    path("books/pages", Pages.as_view()),
    path("books/<int:pk>", ChangedBook.as_view()),
    path("books/<int:pk>/delete", DeletedBook.as_view()),
    path("books/<int:pk>/function", changed_in_a_function),
    path("books/<int:pk>/one-page", changed_on_one_page),
    path("books/<int:pk>/reprinted", reprinted),
    path("admin/", site.urls),
]
